//! Waiting for many sockets at once, at the cost of those that have something rather than of all.

use std::io;
use std::net::UdpSocket;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

fn timespec(wait: Duration) -> Timespec {
    Timespec {
        tv_sec: wait.as_secs().cast_signed(),
        tv_nsec: wait.subsec_nanos().into(),
    }
}

#[cfg(target_os = "linux")]
pub(super) use linux::Ready;
#[cfg(not(target_os = "linux"))]
pub(super) use others::Ready;

#[cfg(target_os = "linux")]
mod linux {
    use rustix::buffer::spare_capacity;
    use rustix::event::epoll;
    use rustix::fd::OwnedFd;

    use super::*;

    /// A set of sockets, with an `epoll` of the system's.
    pub(in super::super) struct Ready {
        epoll: OwnedFd,
        sockets: usize,
    }

    impl Ready {
        /// Watches these sockets; their numbers are their places in the list.
        pub(in super::super) fn new<'a>(
            sockets: impl Iterator<Item = &'a UdpSocket>,
        ) -> io::Result<Ready> {
            let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
            let mut count = 0;
            for socket in sockets {
                let number = epoll::EventData::new_u64(count);
                epoll::add(&epoll, socket, number, epoll::EventFlags::IN)?;
                count += 1;
            }
            let sockets = count as usize;
            Ok(Ready { epoll, sockets })
        }

        /// Sleeps until one has something, at the longest `wait`; gives the numbers of those that have.
        pub(in super::super) fn wait<'a>(
            &mut self,
            _: impl Iterator<Item = &'a UdpSocket>,
            wait: Duration,
        ) -> Vec<usize> {
            // epoll's own timeout counts milliseconds; that of poll, which can wait for an epoll too, nanoseconds.
            let mut polled = [PollFd::new(&self.epoll, PollFlags::IN)];
            // Interrupted or failed: then nothing is ready, and the loop comes again.
            let _ = poll(&mut polled, Some(&timespec(wait)));
            let mut events = Vec::with_capacity(self.sockets.max(1));
            let at_once = timespec(Duration::ZERO);
            let _ = epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&at_once));
            let events = events.iter();
            events.map(|event| event.data.u64() as usize).collect()
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod others {
    use super::*;

    /// A set of sockets, each looked at each time.
    pub(in super::super) struct Ready;

    impl Ready {
        /// Watches these sockets; their numbers are their places in the list.
        pub(in super::super) fn new<'a>(
            _: impl Iterator<Item = &'a UdpSocket>,
        ) -> io::Result<Ready> {
            Ok(Ready)
        }

        /// Sleeps until one of the same sockets has something, at the longest `wait`; gives the numbers of those that
        /// have.
        pub(in super::super) fn wait<'a>(
            &mut self,
            sockets: impl Iterator<Item = &'a UdpSocket>,
            wait: Duration,
        ) -> Vec<usize> {
            let mut polled: Vec<PollFd<'_>> = sockets
                .map(|socket| PollFd::new(socket, PollFlags::IN))
                .collect();
            let _ = poll(&mut polled, Some(&timespec(wait)));
            let ready = polled.iter().enumerate();
            ready
                .filter(|(_, fd)| !fd.revents().is_empty())
                .map(|(number, _)| number)
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_have_something_are_named_until_it_is_taken() {
        let sockets = [(); 3].map(|()| UdpSocket::bind("127.0.0.1:0").expect("a port"));
        let mut ready = Ready::new(sockets.iter()).expect("watched");
        assert!(ready.wait(sockets.iter(), Duration::ZERO).is_empty());
        let to = sockets[2].local_addr().expect("bound");
        sockets[0].send_to(b"hello", to).expect("sent");
        let patience = Duration::from_secs(10);
        assert_eq!(ready.wait(sockets.iter(), patience), [2]);
        assert_eq!(ready.wait(sockets.iter(), patience), [2], "still there");
        sockets[2].recv(&mut [0; 16]).expect("received");
        assert!(ready.wait(sockets.iter(), Duration::ZERO).is_empty());
    }
}

//! Large bytes: shared, released at home, and safe whoever ends first.

use std::sync::mpsc;
use std::thread;

use crate::clone::Cloned;
use crate::testing::Interpreter;

#[test]
fn large_bytes_are_shared_and_come_home() {
    let sender = &mut Interpreter::start();
    sender.run("data = bytes(range(256)) * 32").unwrap();
    let message = sender.send("(1, {'chunk': data}, b'small')").unwrap();
    assert_eq!(sender.drain(), 1, "one loan is out");
    let address = sender.show("hex(id(data))").unwrap();

    let (released, wait) = mpsc::channel::<()>();
    let receiver = thread::spawn(move || {
        let python = &mut Interpreter::start();
        python.receive(&message).unwrap();
        drop(message);
        assert_eq!(
            python.show("type(args[1]['chunk']).__name__").as_deref(),
            Ok("memoryview")
        );
        assert_eq!(
            python.show("args[1]['chunk'].readonly").as_deref(),
            Ok("True")
        );
        assert_eq!(python.show("args[2]").as_deref(), Ok("b'small'"));
        let equal = "bytes(args[1]['chunk']) == bytes(range(256)) * 32";
        assert_eq!(python.show(equal).as_deref(), Ok("True"));
        assert!(python.run("args[1]['chunk'][0] = 1").is_err());
        // A slice keeps the whole.
        python
            .run("part = args[1]['chunk'][255:257]; del args")
            .unwrap();
        assert_eq!(python.show("bytes(part)").as_deref(), Ok(r"b'\xff\x00'"));
        python.run("del part").unwrap();
        released.send(()).unwrap();
    });
    wait.recv().unwrap();
    assert_eq!(sender.drain(), 0, "the loan has come home");
    assert_eq!(
        sender.show("hex(id(data)), data[255]").unwrap(),
        format!("('{address}', 255)")
    );
    receiver.join().unwrap();
}

#[test]
fn state_holds_its_bytes_itself() {
    let python = &mut Interpreter::start();
    let value = python.eval("bytes(5000)").unwrap();
    assert_eq!(python.encode(&value).unwrap().len(), 1 + 5 + 5000);
    assert_eq!(python.drain(), 0);
}

#[test]
fn a_message_that_is_never_delivered_gives_its_loans_back() {
    let python = &mut Interpreter::start();
    let message = python.send("(bytes(5000), bytes(6000))").unwrap();
    assert_eq!(python.drain(), 2);
    thread::spawn(move || drop(message)).join().unwrap();
    assert_eq!(python.drain(), 0);
    // Nor does one that was refused after its bytes were lent.
    python.send("(bytes(5000), object())").unwrap_err();
    assert_eq!(python.drain(), 0);
}

#[test]
fn the_receiver_may_end_first() {
    let sender = &mut Interpreter::start();
    let message = sender.send("(bytes(5000),)").unwrap();
    thread::spawn(move || {
        let python = &mut Interpreter::start();
        python.receive(&message).unwrap();
        python.run("kept = args[0]").unwrap();
    })
    .join()
    .unwrap();
    assert_eq!(sender.drain(), 0);
}

#[test]
fn the_owner_may_end_first() {
    let (messages, inbox) = mpsc::channel::<Cloned>();
    thread::spawn(move || {
        let python = &mut Interpreter::start();
        python.run("data = bytes(range(256)) * 4096").unwrap();
        // The same object twice, and one that nobody will read.
        messages.send(python.send("(data, data)").unwrap()).unwrap();
        messages
            .send(python.send("(bytes(70000),)").unwrap())
            .unwrap();
    })
    .join()
    .unwrap();
    let python = &mut Interpreter::start();
    let message = inbox.recv().unwrap();
    python.receive(&message).unwrap();
    drop((message, inbox));
    let equal = "bytes(args[0]) == bytes(args[1]) == bytes(range(256)) * 4096";
    assert_eq!(python.show(equal).as_deref(), Ok("True"));
    python.run("del args").unwrap();
    python.drain(); // frees the orphans
    // Whatever is allocated now may take their place.
    python
        .run("fresh = [bytes([n % 256]) * 70000 for n in range(64)]")
        .unwrap();
    assert_eq!(
        python
            .show("all(b[0] == b[-1] == n for n, b in enumerate(fresh))")
            .as_deref(),
        Ok("True")
    );
}

#[test]
fn what_arrived_can_be_sent_on() {
    let first = &mut Interpreter::start();
    let message = first.send("(bytes(range(256)) * 32,)").unwrap();
    let (messages, inbox) = mpsc::channel::<Cloned>();
    thread::spawn(move || {
        let second = &mut Interpreter::start();
        second.receive(&message).unwrap();
        drop(message);
        messages
            .send(second.send("(args[0][256:], args[0][:2])").unwrap())
            .unwrap();
        assert_eq!(second.drain(), 0, "the loan isn't the second's");
    })
    .join()
    .unwrap();
    assert_eq!(first.drain(), 1);
    let message = inbox.recv().unwrap();
    let third = thread::spawn(move || {
        let third = &mut Interpreter::start();
        third.receive(&message).unwrap();
        assert_eq!(
            third.show("len(args[0]), args[0][3], args[1]").as_deref(),
            Ok(r"(7936, 3, b'\x00\x01')")
        );
    });
    third.join().unwrap();
    drop(inbox);
    assert_eq!(first.drain(), 0);
}

#[test]
fn large_bytes_are_copied_to_another_process() {
    let python = &mut Interpreter::start();
    python.run("data = bytes(range(256)) * 32").unwrap();
    let message = python.send("(data, [data, b'small'])").unwrap();
    let mut bytes = Vec::new();
    message.write(&mut bytes);
    let copy = Cloned::read(&mut bytes.as_slice()).expect("what was written");
    assert_eq!(
        copy.digest(),
        message.digest(),
        "the state hash is the same"
    );
    drop(message);
    assert_eq!(python.drain(), 0, "the copy is no loan");
    python.receive(&copy).unwrap();
    let equal = "type(args[0]) is memoryview and bytes(args[0]) == data == bytes(args[1][0])";
    assert_eq!(python.show(equal).as_deref(), Ok("True"));
    for length in 0..bytes.len() {
        assert!(
            Cloned::read(&mut &bytes[..length]).is_none(),
            "{length} bytes"
        );
    }
}

//! Values through the clone: what comes back, what is refused, and bytes that are no clone.

mod buffers;
mod fixed;
mod random;

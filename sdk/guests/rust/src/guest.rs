//! Flows in Rust against fairlead's guest interface (fairlead_abi 1): what a module exports, the messages that it
//! exchanges with its host, and three flows as state machines. See README.md.
#![no_std]
#![allow(unused_unsafe)] // compilers before 1.79 ask for unsafe where an address of a static is taken

mod flows;
mod json;
mod wire;

use core::ptr::{addr_of, addr_of_mut};

/// The largest message that the host passes: 4 MiB of answers. Both buffers lie in the module's own data.
const ARGUMENT: usize = 4 << 20;
/// The largest result of a step.
const RESULT: usize = 960 << 10;

static mut IN: [u8; ARGUMENT] = [0; ARGUMENT];
static mut OUT: [u8; RESULT] = [0; RESULT];
static mut FLOW: flows::Flow = flows::Flow::NONE;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

/// Called once, when the base image is made. There is nothing to prepare.
#[no_mangle]
pub extern "C" fn _initialize() {}

/// The version of the guest interface.
#[no_mangle]
pub extern "C" fn fairlead_abi() -> u32 {
    1
}

/// Gives the host room for one message; it passes one at a time.
#[no_mangle]
pub extern "C" fn fairlead_alloc(len: u32) -> u32 {
    assert!(len as usize <= ARGUMENT);
    unsafe { addr_of!(IN) as u32 }
}

/// Begins a flow: a Start comes in, a Yield goes out.
#[no_mangle]
pub extern "C" fn fairlead_start(_ptr: u32, len: u32) -> u64 {
    step(len, flows::Flow::start)
}

/// Goes on with it: a Resume comes in, a Yield goes out.
#[no_mangle]
pub extern "C" fn fairlead_resume(_ptr: u32, len: u32) -> u64 {
    step(len, flows::Flow::resume)
}

fn step(len: u32, next: fn(&mut flows::Flow, &[u8], &mut wire::Writer)) -> u64 {
    // One thread, and the host calls only when no other call is under way: nothing else refers to these.
    let (flow, message, out) = unsafe {
        (
            &mut *addr_of_mut!(FLOW),
            &(*addr_of!(IN))[..len as usize],
            &mut *addr_of_mut!(OUT),
        )
    };
    let mut w = wire::Writer::new(out);
    next(flow, message, &mut w);
    (unsafe { addr_of!(OUT) as u64 } << 32) | w.len() as u64
}

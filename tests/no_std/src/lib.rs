//! Proves that `gossip-core` needs no std: this builds only where std cannot be linked.

#![no_std]

use core::{
    alloc::{GlobalAlloc, Layout},
    panic::PanicInfo,
    ptr,
};

use gossip_core::{Action, Config, Endpoint, Event, Identity, Instant, Node, OrgId, PkiId};

struct NoMemory;

// SAFETY: a null pointer is what an allocator returns that has nothing to give.
unsafe impl GlobalAlloc for NoMemory {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: NoMemory = NoMemory;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// Makes a node and drives it, so that all of it is linked. Returns how many actions it wanted.
#[unsafe(no_mangle)]
pub extern "C" fn drive() -> usize {
    let identity = Identity::new(&b"identity"[..]);
    let config =
        Config::new(identity, PkiId::new([1; 32]), OrgId::from("org"), Endpoint::from("host:1"));
    let Ok(mut node) = Node::new(config, Instant::ZERO) else { return 0 };
    node.handle(Instant::from_nanos(1), Event::Tick);
    let mut actions = 0;
    while let Some(action) = node.poll_action() {
        actions += usize::from(!matches!(action, Action::Notify(_)));
    }
    actions
}

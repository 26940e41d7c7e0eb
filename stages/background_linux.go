package stages

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// backgroundNice is how much the threads of background work stand back.
const backgroundNice = 10

// background gives the calling goroutine a thread of its own, for its whole life, that
// stands back whenever another one wants the core: the runtime hands out its slices of
// 10 ms without knowing that checking a cold chunk can wait and an append can't.
func background() {
	runtime.LockOSThread() // without an unlock: the thread ends with the goroutine, and nobody inherits its priority
	// Where it is not allowed, such work competes with the rest; nothing else changes.
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), backgroundNice)
}

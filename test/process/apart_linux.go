package process

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"syscall"
	"testing"
)

// Apart runs the calling test again in a process that has namespaces of its own (CLONE_NEWNET and its like); false
// outside, once that has ended, with how it went passed on to t; true inside. When the process inside ends, in whatever way,
// the kernel undoes its mounts, and with CLONE_NEWPID ends all that was started in it. what says what only root may have.
func Apart(t *testing.T, namespaces uintptr, what string) (inside bool) {
	t.Helper()
	const name = "SLUICE_APART"
	if os.Getenv(name) == t.Name() {
		return true
	}
	if os.Geteuid() != 0 {
		t.Skipf("skipped: only root may have %s of one's own", what)
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=15m", fmt.Sprintf("-test.short=%t", testing.Short()))
	cmd.Env = append(os.Environ(), name+"="+t.Name(), "SLUICE_BIN="+Binary(t))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Skipf("skipped: this machine gives nobody %s of one's own: %v", what, err)
	}
	if reason := regexp.MustCompile(`skipped: .*`).Find(out); reason != nil && err == nil {
		t.Skipf("%s", reason)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", bytes.TrimSpace(out))
	return false
}

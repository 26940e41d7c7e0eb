package clients

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// Missing says why a client cannot be had on this machine: a program is not there, or a registry cannot be reached.
type Missing struct{ Why string }

func (m Missing) Error() string { return m.Why }

// A kit is what installs one client or several.
type kit struct {
	sources []string // files and folders beside this one that decide what is installed
	needs   []string // programs on the PATH
	steps   [][]string
}

// installLimit ends an installation that hangs. The longest, with a compiler in it, takes a minute or two.
const installLimit = 8 * time.Minute

// Install brings a kit into bin/kafka-clients, unless it is there already as its files pin it, and gives its folder. The
// error is a Missing if it cannot be had here. Any process and any goroutine may call it: one installs, others wait.
func Install(ctx context.Context, name string) (dir string, err error) {
	k, ok := kits[name]
	if !ok {
		return "", fmt.Errorf("there is no kit %q", name)
	}
	root, err := root()
	if err != nil {
		return "", err
	}
	here, err := here()
	if err != nil {
		return "", err
	}
	all := filepath.Join(root, "bin", "kafka-clients")
	dir = filepath.Join(all, name)
	if err := os.MkdirAll(all, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	want, err := k.stamp(here)
	if err != nil {
		return "", err
	}
	stamp := filepath.Join(dir, ".installed")
	if have, err := os.ReadFile(stamp); err == nil && string(have) == want {
		return dir, nil
	}
	if err := k.install(ctx, here, dir); err != nil {
		return "", err
	}
	return dir, os.WriteFile(stamp, []byte(want), 0o644)
}

func (k kit) install(ctx context.Context, here, dir string) error {
	for _, program := range k.needs {
		if _, err := exec.LookPath(program); err != nil {
			return Missing{"there is no " + program + " on this machine"}
		}
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, installLimit)
	defer cancel()
	for _, step := range k.steps {
		cmd := command(ctx, here, dir, step)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return failed(step, string(out), err)
		}
	}
	return nil
}

// unreachable is what the programs print of a registry that does not answer, or does not have a thing for this machine.
var unreachable = regexp.MustCompile(`(?i)dial tcp|module lookup disabled|no such host|connection refused|timed? ?out|temporary failure|` +
	`could not resolve|couldn't resolve|could not connect|network is unreachable|ENOTFOUND|ECONNREFUSED|EAI_AGAIN|ENETUNREACH|` +
	`no matching distribution|error while loading shared libraries|could not transfer artifact|unknown host|unable to locate package|failed to fetch`)

// hosts have no place in a reason that is printed: which registry a machine asks is its own business.
var hosts = regexp.MustCompile(`\w+://\S+|\blookup \S+|\b[\w-]+(\.[\w-]+)+:\d+\b`)

func failed(step []string, out string, err error) error {
	if line := unreachable.FindString(out); line != "" {
		for _, l := range strings.Split(out, "\n") {
			if strings.Contains(l, line) {
				return Missing{fmt.Sprintf("%s: %.200s", step[0], hosts.ReplaceAllString(strings.TrimSpace(l), "..."))}
			}
		}
	}
	return fmt.Errorf("%s: %w\n%s", strings.Join(step, " "), err, out)
}

// stamp tells two installations apart: the pinned files, and how they are installed.
func (k kit) stamp(here string) (string, error) {
	sum := sha256.New()
	_, _ = fmt.Fprintln(sum, k.steps) // a hash takes all
	for _, source := range k.sources {
		err := filepath.WalkDir(filepath.Join(here, source), func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			text, err := os.ReadFile(name)
			_, _ = fmt.Fprintf(sum, "%s %d\n%s", e.Name(), len(text), text) // likewise
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// lock takes a file for this process and goroutine alone, waiting for it; what it returns lets go.
func lock(name string) (unlock func() error, err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil // closing lets go
}

// root is the folder of the repository, from any folder in it.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module sluice\n") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("this is no folder of the repository: no go.mod of sluice above it")
		}
	}
}

func fill(here, dir string, words []string) []string {
	r := strings.NewReplacer("{here}", here, "{dir}", dir)
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = r.Replace(w)
	}
	return out
}

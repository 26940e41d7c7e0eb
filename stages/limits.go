package stages

import (
	"fmt"
	"os"
	"syscall"

	"go.uber.org/zap"

	"sluice/sched"
)

// This file is what the process may use at most: descriptors (I13) and memory.

// descriptorsMost bounds what a system without a limit is taken to allow.
const descriptorsMost = 1 << 20

// share splits the descriptors that the system, or the configuration, allows. The
// runtime has raised the soft limit to the hard one already.
func (c *Config) share() (sched.Descriptors, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return sched.Descriptors{}, fmt.Errorf("the limit of open files can't be asked for: %w", err)
	}
	total := int64(min(limit.Cur, descriptorsMost))
	if c.Descriptors != Auto {
		if c.Descriptors > total {
			return sched.Descriptors{}, fmt.Errorf("setting descriptors: %d are more than the %d open files that the system allows this process: raise that (ulimit -n), or set fewer", c.Descriptors, total)
		}
		total = c.Descriptors
	}
	d, err := sched.SplitDescriptors(int(total), max(descriptors(), descriptorsAtLeast), int(c.MaxConnections))
	if err != nil {
		return d, fmt.Errorf("open files and connections (ulimit -n, or setting descriptors): %w", err)
	}
	return d, nil
}

// descriptorsAtLeast are in use where nobody can count them: the standard streams, the
// netpoller's, and a few of the runtime.
const descriptorsAtLeast = 8

// tellLimits warns of a limit that is lower than what was asked for.
func (s *Server) tellLimits() {
	if d := s.limits; int64(d.Connections) < s.conf.MaxConnections {
		s.log.Warn("the limit of open files allows fewer connections than max_connections: raise it (ulimit -n), or accept that",
			zap.Int("connections", d.Connections), zap.Int64("max_connections", s.conf.MaxConnections), zap.Int("open files", d.Total))
	}
}

// MemoryBound is what the server may hold in memory with so many connections: the byte
// budgets, and what stands beside them. Buffers that were given back wait in pools for
// their next user, outside the budgets; so a process should have the collector keep to
// this bound (debug.SetMemoryLimit), or a change of habits among its clients shows as
// twice the memory.
func (c *Config) MemoryBound() int64 {
	const base = 64 << 20 // code, stacks, queues, indexes, catalog, and room for the collector to breathe
	const connection = 24 << 10
	m := c.Memory
	return base + connection*c.MaxConnections + m.Receive + m.Append + m.Large + m.Read + m.Decode + m.Requests + m.Answers + m.Fetch
}

// descriptors counts the open descriptors of this process, without the one it
// takes to look; -1 where that is not known.
func descriptors() int {
	for _, dir := range []string{"/proc/self/fd", "/dev/fd"} {
		if entries, err := os.ReadDir(dir); err == nil {
			return len(entries) - 1
		}
	}
	return -1
}

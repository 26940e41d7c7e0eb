package fstest

import (
	"math/rand/v2"
	"path"
	"slices"
)

// Kill returns what the next process finds when this one is killed: all is there as it reads now, unsynced changes are
// still unsynced, and locks are free. Both file systems then go their own ways.
func (m *Mem) Kill() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := &Mem{locks: make(map[string]bool), total: m.total}
	copies := make(map[*node]*node)
	k.root = m.root.kill(copies)
	k.ops = slices.Clone(m.ops)
	for i := range k.ops {
		op := &k.ops[i]
		op.n, op.from, op.to = op.n.kill(copies), op.from.kill(copies), op.to.kill(copies)
	}
	for _, n := range copies {
		if n.named {
			k.used += n.cache.size
		}
	}
	return k
}

func (n *node) kill(copies map[*node]*node) *node {
	if n == nil {
		return nil
	}
	if have := copies[n]; have != nil {
		return have
	}
	k := &node{dir: n.dir, lost: n.lost, named: n.named, pending: slices.Clip(n.pending)}
	copies[n] = k
	if !n.dir {
		k.cache, k.device = n.cache.share(), n.device.share()
		return k
	}
	same := len(n.names.list) == len(n.synced.list) && (len(n.names.list) == 0 || &n.names.list[0] == &n.synced.list[0])
	k.names = n.names.kill(copies)
	if k.synced = k.names.share(); !same {
		k.synced = n.synced.kill(copies)
	}
	return k
}

func (s *names) kill(copies map[*node]*node) names {
	list := make([]entry, len(s.list))
	for i, e := range s.list {
		list[i] = entry{e.name, e.n.kill(copies)}
	}
	return names{list: list}
}

// Crash returns what a power cut now would leave. Every unsynced sector of a write, change of a length and change of a name
// survives with probability keep, each for itself, but for a rename, which is there as a whole or not at all: with 0 nothing
// unsynced survives, with 1 everything. Sectors that did not survive below a length that did read as before, or as zeros; a
// file whose name is lost is gone. All that is left is synced, and locks are free. The same m and rng give the same result.
func (m *Mem) Crash(rng *rand.Rand, keep float64) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	dirs := make(map[*node]*names)
	of := func(dir *node) *names {
		if dirs[dir] == nil {
			left := dir.synced.share()
			dirs[dir] = &left
		}
		return dirs[dir]
	}
	for _, op := range m.ops {
		if rng.Float64() < keep {
			op.apply(of)
		}
	}
	c := &Mem{locks: make(map[string]bool), total: m.total}
	var survive func(n *node) *node
	survive = func(n *node) *node {
		left := &node{dir: n.dir, named: true}
		if !n.dir {
			left.device = n.crashed(rng, keep)
			left.cache = left.device.share()
			c.used += left.cache.size
			return left
		}
		list := slices.Clone(of(n).list)
		for i := range list {
			list[i].n = survive(list[i].n)
		}
		left.names = names{list: list}
		left.synced = left.names.share()
		return left
	}
	c.root = survive(m.root)
	return c
}

// crashed goes through a file's history: cached is what the page cache held at each point, and what gets to the device is
// whole sectors of that.
func (n *node) crashed(rng *rand.Rand, keep float64) content {
	left := n.device.share()
	if len(n.pending) == 0 {
		return left
	}
	cached, size := n.device.share(), left.size
	for _, c := range n.pending {
		had := cached.size
		c.apply(&cached)
		end := c.pos + int64(len(c.data))
		if c.forced {
			size = max(size, end)
		}
		if cached.size != had && rng.Float64() < keep {
			size = cached.size
			if c.cut {
				left.cut(size)
			}
		}
		for at := c.pos / sectorBytes * sectorBytes; !c.cut && at < end; at += sectorBytes {
			if c.forced || rng.Float64() < keep {
				left.take(&cached, at, sectorBytes)
			}
		}
	}
	left.cut(size)
	return left
}

// Unsynced lists what a power cut could take: files with unsynced content (zeros added by Allocate are none), and
// directories with unsynced names (with a slash at the end).
func (m *Mem) Unsynced() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []string
	var visit func(name string, n *node)
	visit = func(name string, n *node) {
		if slices.ContainsFunc(n.pending, func(c change) bool { return !c.grows && !c.forced }) {
			found = append(found, name)
		}
		if n.dir && !slices.Equal(n.names.list, n.synced.list) {
			found = append(found, name+"/")
		}
		for _, e := range n.names.list {
			visit(path.Join(name, e.name), e.n)
		}
	}
	visit(".", m.root)
	return found
}

package fstest

import (
	"strings"
	"sync"
)

// openNames knows what open files are called now: a trace that went on calling a renamed file by its old name would show
// writes to a file that is not there.
type openNames struct {
	mu   sync.Mutex
	open map[*openName]bool
}

type openName struct{ name string }

func (n *openNames) opened(name string) *openName {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.open == nil {
		n.open = make(map[*openName]bool)
	}
	o := &openName{name}
	n.open[o] = true
	return o
}

func (n *openNames) closed(o *openName) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.open, o)
}

func (n *openNames) of(o *openName) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return o.name
}

func (n *openNames) renamed(old, new string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for o := range n.open {
		if o.name == old {
			o.name = new
		} else if rest, ok := strings.CutPrefix(o.name, old+"/"); ok {
			o.name = new + "/" + rest
		}
	}
}

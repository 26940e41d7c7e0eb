package fstest

import "slices"

const (
	pageBytes   = 4096 // what is copied when a shared file is written to
	sectorBytes = 512  // what a power cut takes or leaves
)

// content is the bytes of a file. Contents share their pages and tables, so that a copy costs nothing until it is
// written to; whoever writes copies the pages first that are not its own.
type content struct {
	size  int64
	pages []*page // a nil page, and what is behind the last, is zeros; so are the bytes behind size
	me    *owner  // nil: the table is shared too
}

type page struct {
	owner *owner
	b     [pageBytes]byte
}

// owner is compared by its address, which an empty struct would not have for itself.
type owner struct{ _ byte }

// share returns a second content with the same bytes.
func (c *content) share() content {
	c.me = nil
	return *c
}

// table makes the table c's own, and n pages long at least.
func (c *content) table(n int) {
	if c.me == nil {
		c.me, c.pages = new(owner), slices.Clone(c.pages)
	}
	if more := n - len(c.pages); more > 0 {
		c.pages = append(c.pages, make([]*page, more)...)
	}
}

// own returns page i for writing. The table must be c's own.
func (c *content) own(i int) *page {
	p := c.pages[i]
	if p != nil && p.owner == c.me {
		return p
	}
	mine := &page{owner: c.me}
	if p != nil {
		mine.b = p.b
	}
	c.pages[i] = mine
	return mine
}

// put writes p without a look at the size.
func (c *content) put(p []byte, pos int64) {
	if len(p) == 0 {
		return
	}
	c.table(int((pos + int64(len(p)) + pageBytes - 1) / pageBytes))
	for len(p) > 0 {
		n := copy(c.own(int(pos / pageBytes)).b[pos%pageBytes:], p)
		p, pos = p[n:], pos+int64(n)
	}
}

func (c *content) write(p []byte, pos int64) {
	c.put(p, pos)
	if len(p) > 0 {
		c.size = max(c.size, pos+int64(len(p)))
	}
}

// read fills p, with zeros where there is nothing, without a look at the size.
func (c *content) read(p []byte, pos int64) {
	for len(p) > 0 {
		n := min(len(p), int(pageBytes-pos%pageBytes))
		if i := int(pos / pageBytes); i < len(c.pages) && c.pages[i] != nil {
			copy(p[:n], c.pages[i].b[pos%pageBytes:])
		} else {
			clear(p[:n])
		}
		p, pos = p[n:], pos+int64(n)
	}
}

// cut sets the size. What is behind it is zeros again, should the file grow back.
func (c *content) cut(size int64) {
	c.size = size
	keep := int((size + pageBytes - 1) / pageBytes)
	if keep > len(c.pages) {
		return
	}
	c.table(0)
	c.pages = c.pages[:keep]
	if in := size % pageBytes; in > 0 && c.pages[keep-1] != nil {
		clear(c.own(keep - 1).b[in:])
	}
}

// take copies a range of whole pages, or of whole sectors, from another content.
func (c *content) take(from *content, pos, n int64) {
	b := make([]byte, n)
	from.read(b, pos)
	c.put(b, pos)
}

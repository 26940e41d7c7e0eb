package sched

import (
	"context"
	"runtime/pprof"

	"golang.org/x/sync/errgroup"
)

// Group starts goroutines under a name, and joins them. The first error cancels
// the group's context. The zero value is not usable.
type Group struct {
	g   *errgroup.Group
	ctx context.Context
}

// NewGroup returns a group whose context is derived from ctx.
func NewGroup(ctx context.Context) *Group {
	g, ctx := errgroup.WithContext(ctx)
	return &Group{g: g, ctx: ctx}
}

// Go runs one goroutine of the named stage. The name is its pprof label
// "stage", so that profiles and goroutine dumps read as the pipeline does.
// Any goroutine may call it until Wait has returned.
func (g *Group) Go(stage string, run func(ctx context.Context) error) {
	g.g.Go(func() (err error) {
		pprof.Do(g.ctx, pprof.Labels("stage", stage), func(ctx context.Context) { err = run(ctx) })
		return err
	})
}

// Wait joins all goroutines and returns the first error.
func (g *Group) Wait() error { return g.g.Wait() }

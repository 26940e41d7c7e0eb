package stages

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"go.uber.org/zap"
)

// These measure the server alone, client and server in one process; bench/
// measures it as its users have it.

func benchServer(b *testing.B) *Server {
	conf := Default()
	conf.Data, conf.Listen, conf.Kafka, conf.HTTP = b.TempDir(), anyPort, anyPort, ""
	s, err := Start(conf, zap.NewNop())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil { // the benchmark's own context has ended by now
			b.Error(err)
		}
	})
	return s
}

// load has each connection send, then wait for the answers, until b.N commands
// are done in all.
func load(b *testing.B, connections int, send []byte, answers int) {
	s := benchServer(b)
	b.SetBytes(int64(len(send) / answers))
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for range connections {
		nc, err := net.Dial("tcp", s.Addr())
		if err != nil {
			b.Fatal(err)
		}
		wg.Go(func() {
			defer nc.Close()
			buf := make([]byte, 64<<10)
			for range b.N/connections/answers + 1 {
				if _, err := nc.Write(send); err != nil {
					b.Error(err)
					return
				}
				for got := 0; got < answers; {
					n, err := nc.Read(buf)
					if err != nil {
						b.Error(err)
						return
					}
					got += bytes.Count(buf[:n], []byte("\n"))
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkAppend(b *testing.B) {
	msg := fmt.Appendf(nil, "MSG t 1024\n%1024d\n", 7)
	synced := fmt.Appendf(nil, "MSG t 1024 ack=synced\n%1024d\n", 7)
	for _, connections := range []int{1, 16} {
		b.Run(fmt.Sprintf("written/%d", connections), func(b *testing.B) { load(b, connections, msg, 1) })
		b.Run(fmt.Sprintf("synced/%d", connections), func(b *testing.B) { load(b, connections, synced, 1) })
		b.Run(fmt.Sprintf("pipelined/%d", connections), func(b *testing.B) { load(b, connections, bytes.Repeat(msg, 100), 100) })
	}
}

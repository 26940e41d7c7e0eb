package stages

import (
	"net/http"
	"net/http/pprof"
	"time"
)

// newHTTP serves health and profiles. Profiles carry the label "stage".
func newHTTP(s *Server) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		body := "ok\n"
		if s.draining() {
			w.WriteHeader(http.StatusServiceUnavailable)
			body = "stopping\n"
		}
		// A client that left has no use for the answer.
		_, _ = w.Write([]byte(body))
	})
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
}

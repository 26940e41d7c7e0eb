package stages

import "context"

// notifier tells the connections that wait for a log's new records that there
// are some. It stands between the writer and them so that a thousand followers
// cost the writer one send. In: logs with a new end. Out: the connections'
// signals, never blocking. Ends when its inbox is closed.
type notifier struct {
	in chan *command // one place a log
}

func newNotifier(maxLogs int64) *notifier {
	return &notifier{in: make(chan *command, maxLogs)}
}

// Run wakes the subscribers of one log after the other.
func (n *notifier) Run(context.Context) error {
	for cmd := range n.in {
		cmd.part.advance.queued.Store(false) // before the signals: a write from now on is news again
		cmd.part.wake()
	}
	return nil
}

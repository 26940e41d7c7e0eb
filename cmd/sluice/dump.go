package main

import (
	"bufio"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/client"
	"sluice/disk"
)

// dumpOptions are the flags of dump.
type dumpOptions struct {
	from    uint64
	limit   number
	batches bool
	file    string
	json    bool
}

func newDump() *cobra.Command {
	var o dumpOptions
	cmd := &cobra.Command{
		Use:   "dump DIR TOPIC[/PARTITION]",
		Short: "Print the batches and records in the files of a log, and what is damaged between them",
		Long: `Print the batches and records in the files of a log, with their places. Damage does not end it: the range is
printed, and what lies behind. Nothing is changed, so it may run beside the server.

--file prints a single file instead: a segment, or a .cut file that a recovery or a repair has kept. It needs
no data directory around it.`,
		Example: `  sluice dump ./data events
  sluice dump ./data events/2 --from 1000 --limit 10 --json
  sluice dump ./data events --batches
  sluice dump --file ./data/topics/events/0/00000000000000000000-4096.cut`,
		Args: args(func(cmd *cobra.Command, list []string) error {
			switch {
			case o.file != "" && len(list) > 0:
				return usagef("--file stands for itself: leave %q out", list[0])
			case o.file == "" && len(list) != 2:
				return usagef("dump takes a data directory and a topic, or --file")
			}
			return nil
		}),
		RunE: func(cmd *cobra.Command, list []string) error { return o.run(cmd, list) },
	}
	f := cmd.Flags()
	f.Uint64Var(&o.from, "from", 0, "begin at this offset")
	f.Var(&o.limit, "limit", "end after so many records, or batches with --batches (default: no limit)")
	f.BoolVar(&o.batches, "batches", false, "print the batches only, not their records")
	f.StringVar(&o.file, "file", "", "print this `FILE`")
	f.BoolVar(&o.json, "json", false, "print JSON, an object for each batch, record and damage")
	return cmd
}

var errEnough = errors.New("the limit is reached")

func (o *dumpOptions) run(cmd *cobra.Command, list []string) error {
	d := disk.DumpOptions{From: o.from}
	root := filepath.Dir(o.file)
	if o.file != "" {
		d.File = filepath.Base(o.file)
	} else {
		root = list[0]
		topic, partition, _ := strings.Cut(list[1], "/")
		d.Topic = topic
		if partition != "" {
			n, err := strconv.ParseUint(partition, 10, 16)
			if err != nil {
				return usagef("%q names no partition of a topic", list[1])
			}
			d.Partition = int(n)
		}
		live, err := dataDir(root)
		if err != nil {
			return err
		}
		d.Live = live
	}
	out := bufio.NewWriterSize(cmd.OutOrStdout(), 256<<10)
	p := dumpPrinter{dumpOptions: o, printer: printer{out: out}}
	err := disk.Dump(disk.OSReadOnly(root), d, p.piece)
	if errors.Is(err, errEnough) {
		err = nil
	}
	return errors.Join(err, out.Flush())
}

// dumpPrinter writes pieces until the limit.
type dumpPrinter struct {
	*dumpOptions
	printer printer
	done    number // of what the limit counts
}

// batchJSON is a batch of --json; recordJSON is a record.
type batchJSON struct {
	Kind       string `json:"kind"` // batch
	File       string `json:"file"`
	Position   int64  `json:"position"`
	Bytes      int    `json:"bytes"`
	From       uint64 `json:"from"`
	Next       uint64 `json:"next"`
	Epoch      int32  `json:"epoch"`
	Codec      string `json:"codec"`
	Attributes int16  `json:"attributes"`
	BaseTime   int64  `json:"base_time"`
	MaxTime    int64  `json:"max_time"`
	Producer   int64  `json:"producer"`
	Sequence   int32  `json:"sequence"`
	CRC        string `json:"crc"`
}

// damageJSON is what lies between batches. Offsets are left out where they are not known.
type damageJSON struct {
	Kind     string  `json:"kind"` // damage, torn
	File     string  `json:"file"`
	Position int64   `json:"position"`
	End      int64   `json:"end"`
	From     *uint64 `json:"from,omitempty"`
	Next     *uint64 `json:"next,omitempty"`
	Why      string  `json:"why"`
}

func (p *dumpPrinter) piece(d disk.DumpPiece) error {
	if p.limit > 0 && p.done >= p.limit {
		return errEnough
	}
	switch {
	case d.Kind != disk.DumpBatch:
		return p.damage(d)
	case p.batches:
		p.done++
		return p.batch(d)
	}
	if err := p.batch(d); err != nil {
		return err
	}
	for r, err := range d.Records {
		if err != nil {
			d.Why = fmt.Sprintf("the records of this batch cannot be decoded: %v", err)
			return p.damage(d)
		}
		out := client.Record{Offset: r.Offset, Time: time.UnixMilli(r.Time), Key: r.Key, Value: r.Value}
		for h := range r.Headers {
			out.Headers = append(out.Headers, h)
		}
		if err := p.record(&out); err != nil {
			return err
		}
		if p.done++; p.done == p.limit {
			return errEnough
		}
	}
	return nil
}

func (p *dumpPrinter) batch(d disk.DumpPiece) error {
	h := d.Header
	if p.json {
		return writeJSON(p.printer.out, batchJSON{
			"batch", d.File, d.Pos, h.Size, d.From, d.Next, h.Epoch, h.Codec().String(), h.Attributes,
			h.BaseTime, h.MaxTime, h.ProducerID, h.BaseSequence, fmt.Sprintf("%08x", h.CRC)})
	}
	_, err := fmt.Fprintf(p.printer.out, "%s@%d offsets [%d, %d) bytes=%d epoch=%d codec=%s crc=%08x\n",
		d.File, d.Pos, d.From, d.Next, h.Size, h.Epoch, h.Codec(), h.CRC)
	return err
}

func (p *dumpPrinter) damage(d disk.DumpPiece) error {
	if p.json {
		j := damageJSON{Kind: string(d.Kind), File: d.File, Position: d.Pos, End: d.End, Why: d.Why}
		if d.Next > d.From {
			j.From, j.Next = &d.From, &d.Next
		}
		return writeJSON(p.printer.out, j)
	}
	offsets := ""
	if d.Next > d.From {
		offsets = fmt.Sprintf(" offsets [%d, %d)", d.From, d.Next)
	}
	_, err := fmt.Fprintf(p.printer.out, "%s@%d to %d%s %s: %s\n", d.File, d.Pos, d.End, offsets, strings.ToUpper(string(d.Kind)), d.Why)
	return err
}

// record writes a record below its batch; keys and values are quoted, as they may hold anything.
func (p *dumpPrinter) record(r *client.Record) error {
	if p.json {
		return p.printer.object(r)
	}
	text := fmt.Sprintf("  %d %s", r.Offset, r.Time.UTC().Format("2006-01-02T15:04:05.000Z"))
	if r.Key != nil {
		text += fmt.Sprintf(" key=%q", r.Key)
	}
	if r.Value != nil {
		text += fmt.Sprintf(" value=%q", r.Value)
	}
	for _, h := range r.Headers {
		text += fmt.Sprintf(" header %q=%q", h.Key, h.Value)
	}
	_, err := fmt.Fprintln(p.printer.out, text)
	return err
}

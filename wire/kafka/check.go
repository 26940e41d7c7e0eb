package kafka

import (
	"errors"
	"fmt"

	"sluice/wire/batch"
)

const (
	atMagic     = 16
	magic       = 2
	zstdProduce = 7 // the first version of Produce that may carry zstd
)

var (
	errNoBatch = errors.New("the records are no whole record batch; send one for each partition")
	errMagic   = errors.New("the records have an older format than record batches, whose magic is 2; use a client of Kafka 0.11 or later")
	errMore    = errors.New("the records are more than one record batch; send one for each partition")
)

// CheckBatch proves the records of one partition, as a client of that version of Produce may send them: one whole batch of at most
// maxBytes bytes. Its checks are Kafka's, in Kafka's order, so that clients meet the codes they know. It allocates nothing when
// all is well.
// The error is a sentence for the client. The code with it is never NoError.
func CheckBatch(records []byte, version int16, maxBytes int) (batch.Header, Code, error) {
	size, code, err := oneBatch(records)
	if err != nil {
		return batch.Header{}, code, err
	}
	switch h := batch.ReadHeader(records); {
	case h.Codec() == batch.Zstd && version < zstdProduce:
		return h, UnsupportedCompression, fmt.Errorf("zstd needs version %d of Produce or later, but this is version %d", zstdProduce, version)
	case h.BaseOffset != 0:
		return h, InvalidRecord, fmt.Errorf("the batch's base offset is %d, but a producer's is 0", int64(h.BaseOffset))
	}
	h, err := batch.Check(records[:size], maxBytes)
	if err != nil {
		return h, codeOf(err), err
	}
	if n := len(records) - size; n > 0 {
		return h, InvalidRecord, fmt.Errorf("%d bytes are left over behind the batch", n)
	}
	return h, NoError, nil
}

// oneBatch gives the size of the batch that the records are, whole, with no other whole one behind it.
func oneBatch(records []byte) (int, Code, error) {
	size, err := batch.Size(records)
	switch {
	case errors.Is(err, batch.ErrShort):
		return 0, InvalidRecord, errNoBatch
	case len(records) > atMagic && records[atMagic] != magic:
		return 0, InvalidRecord, errMagic
	case size > len(records):
		return 0, InvalidRecord, errNoBatch
	case err != nil:
		code := codeOf(err)
		if code == MessageTooLarge && len(records) <= batch.MaxSize {
			return 0, InvalidRecord, errNoBatch // that it is not whole goes before how large it says it is
		}
		return 0, code, err
	}
	if next, err := batch.Size(records[size:]); err == nil && next <= len(records)-size {
		return 0, InvalidRecord, errMore
	}
	return size, NoError, nil
}

// codeOf gives the code for what batch.Check found.
func codeOf(err error) Code {
	var f *batch.Fault
	if !errors.As(err, &f) {
		return InvalidRecord
	}
	switch f.Kind {
	case batch.Checksum, batch.TooSmall:
		return CorruptMessage
	case batch.TooLarge:
		return MessageTooLarge
	case batch.UnknownCodec:
		return UnsupportedCompression
	case batch.ServerTime:
		return InvalidTimestamp
	case batch.Transactional:
		return InvalidTxnState // there is none that it could belong to
	}
	return InvalidRecord
}

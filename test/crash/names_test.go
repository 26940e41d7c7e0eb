package crash

import (
	"io/fs"
	"regexp"
	"testing"
)

// names are what may lie in a data directory when no server runs. There is no .tmp among them.
var names = regexp.MustCompile(`^(LOCK|(node|topics/[\w.-]+/topic)\.json(\.2)?|reserve|run|` +
	`topics/[\w.-]+/\d+/(next\.seg|marks|(epochs|gaps|removal)(\.2)?|\d{20}\.(log|idx)|\d{20}(-\d+){0,2}\.cut))$`)

func knownName(name string) bool { return names.MatchString(name) }

func walk(dir fs.FS, sizes map[string]int64) error {
	return fs.WalkDir(dir, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			sizes[name] = info.Size()
		}
		return err
	})
}

// The list of names knows what is left over from what belongs.
func TestKnownNames(t *testing.T) {
	for name, want := range map[string]bool{
		"LOCK": true, "node.json": true, "node.json.2": true, "node.json.tmp": false, "topics/t/topic.json": true,
		"topics/t/0/00000000000000000042.log": true, "topics/t/0/00000000000000000042.idx.tmp": false,
		"topics/t/0/next.seg": true, "topics/t/0/00000000000000000042-17.cut": true, "topics/t/0/42.log": false,
		"topics/t/0/00000000000000000042.cut": true, "topics/t/0/00000000000000000042-1.cut": true, // the second of its name
		"topics/t/0/00000000000000000042-17-1.cut": true, "topics/t/0/00000000000000000042-17-1-1.cut": false,
		"topics/t/0/epochs": true, "topics/t/0/marks": true, "topics/t/0/epochs.tmp": false, "core": false,
	} {
		if knownName(name) != want {
			t.Errorf("%s: %t", name, !want)
		}
	}
}

package disk_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"

	"sluice/disk"
	"sluice/disk/fstest"
)

// A6: deaths in a row are counted, those that came late are not, and an orderly end
// begins anew, as does a file that is damaged.
func TestA6StartsAreCounted(t *testing.T) {
	mem := fstest.NewMem()
	s, err := disk.OpenStore(mem, disk.StoreOptions{}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	for i, run := range strings.Fields("0:dies 1:dies 2:fails 2:dies 3:lasts 0:dies 1:ends 0:dies 1:damaged 0:dies") {
		want, end, _ := strings.Cut(run, ":")
		deaths, err := s.BeginRun()
		if err != nil || fmt.Sprint(deaths) != want {
			t.Fatalf("run %d: %d deaths before it, want %s, %v", i, deaths, want, err)
		}
		switch end {
		case "fails":
			err = s.EndRun(deaths)
		case "lasts":
			err = s.SettleRun()
		case "ends":
			err = s.EndRun(0)
		case "damaged":
			for _, name := range []string{"starts", "starts.2"} {
				err = errors.Join(err, scribble(mem, name))
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func scribble(fs disk.FS, name string) error {
	f, err := fs.Open("test", name)
	if err != nil {
		return err
	}
	_, err = f.WriteAt("test", []byte("####"), 3)
	return errors.Join(err, f.Close("test"))
}

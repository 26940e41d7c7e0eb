package main

import (
	"os"

	"sluice/stages"
)

// version is set by the build: -ldflags "-X main.version=..."
var version = "dev"

func main() {
	stages.Version = version
	os.Exit(run(os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// Command rave takes live video in, enhances every frame and republishes it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "development"

// Exit codes. They stay below 126, which shells use themselves.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// usageError is an error in what the user wrote: flags, arguments, configuration.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	signal.Ignore(syscall.SIGPIPE) // a log or a screen that has gone is an error of writing, and ends no stream
	root := rootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		complain(err)
		return exitUsage
	default:
		complain(err)
		return exitFailed
	}
}

// complain says why the program ends, to whom it may concern.
func complain(err error) {
	w := newLogWriter(os.Stderr)
	defer w.Close()
	fmt.Fprintln(w, "rave:", err)
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "rave",
		Short: "Enhance live video: RTSP in, a neural network on every frame, RTSP out",
		Example: `  rave demo                                  two simulated cameras, to see it work
  rave serve rtsp://user:pass@camera/stream  one camera, no configuration file
  rave serve -c rave.yaml                    the real thing
  rave doctor                                what this machine can do, and what is missing`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          args(cobra.NoArgs), // an unknown command
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(serveCommand(), demoCommand(), doctorCommand(), versionCommand(), passwordCommand(), tokenCommand(), workerCommand())
	return root
}

// args wraps cobra's check of arguments, so that a wrong one is a usage error.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
		}
		return nil
	}
}

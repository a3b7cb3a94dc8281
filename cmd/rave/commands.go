package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"rave/config"
	"rave/engine/ffmpeg"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Fprintf(cmd.OutOrStdout(), "rave %s (%s, %s/%s, FFmpeg %s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH,
				ffmpeg.Version())
			return nil
		},
	}
}

func passwordCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "password",
		Short: "Hash a password for users: in the configuration",
		Long:  "Password reads a password from standard input and prints its bcrypt hash, for users: password_hash.",
		Args:  args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			line, err := bufio.NewReader(os.Stdin).ReadString('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				return fmt.Errorf("read password: %w", err)
			}
			hash, err := config.HashPassword(strings.TrimRight(line, "\r\n"))
			if err != nil {
				return usageError{err}
			}
			fmt.Fprintln(cmd.OutOrStdout(), hash)
			return nil
		},
	}
}

func tokenCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "token",
		Short: "Make a bearer token for users: in the configuration",
		Long: "Token makes a random bearer token, for programs that use the API or send and play streams by HTTP, and prints it " +
			"with its hash, for users: token_hash. The token is nowhere else: keep it.",
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			token := config.NewToken()
			fmt.Fprintf(cmd.OutOrStdout(), "token: %s\ntoken_hash: %s\n", token, config.HashToken(token))
			return nil
		},
	}
}

package config

import (
	"fmt"
	"io"
	"log/slog"
)

// hidden stands for a secret wherever one would be printed.
const hidden = "***"

// Secret is a text that no verb of fmt, no logger and no encoder prints. Convert it to string where it is used.
type Secret string

// String hides the secret; an empty one stays empty.
func (s Secret) String() string { return hide(string(s)) }

// Format hides the secret whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText hides the secret from JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

func hide(text string) string {
	if text == "" {
		return ""
	}
	return hidden
}

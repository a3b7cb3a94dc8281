package rtsp

// User may read or publish.
type User struct {
	Name         string
	Password     string   // in clear; digest and basic are offered if all users have this
	PasswordHash string   // bcrypt; then only basic is offered
	Read         bool     //
	Publish      bool     //
	Streams      []string // patterns of path.Match, matched against the path and against its first element; nil: all
}

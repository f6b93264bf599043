module trending

go 1.24

require rowmill.dev/transform v0.0.0

replace rowmill.dev/transform => ../../sdk/go

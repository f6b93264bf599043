module rowmill.dev/transform

go 1.24

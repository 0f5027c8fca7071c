"""An exchange that plays recorded streams back over real sockets, with faults on request."""

"""Templates in the language of Go's text/template: what a few texts become by them."""

"""A local web page that shows the base and the tuned model side by side."""

"""The result for people: tables on the terminal, a page for the browser, a Markdown file for the repository."""

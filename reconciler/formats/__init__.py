"""What is wrong with a repository, told to people, programs and CI. Pure: a text each.

What people wrote stands in messages and paths. It must not end a line, an annotation, an element or
a string of the form it stands in: `shown` and the form's own quoting see to that.
"""

"""What the HTTP API answers: Kuma's resources, overviews and inspections (facts/http-api.md). Pure:
from a catalogue of one moment and one request to one answer.
"""

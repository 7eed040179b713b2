"""Files as people write them: text to data with places, data to declared resources."""

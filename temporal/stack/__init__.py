"""All temporal layers of one file.

Configuration, the plan of their places, and the module that holds them.
"""

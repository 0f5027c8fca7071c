"""The secure sum: a coordinator learns the sum of the survivors' vectors, and nobody's vector."""

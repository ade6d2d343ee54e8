"""What is done with ``W`` and ``X``, without state: ``xi``, ``xi`` applied, and their gradients."""

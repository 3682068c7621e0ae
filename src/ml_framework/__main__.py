"""`python -m ml_framework` is the command `ml_framework`."""

from ml_framework.main import main

if __name__ == "__main__":
    main()

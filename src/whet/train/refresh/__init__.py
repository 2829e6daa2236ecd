"""Re-mining of hard negatives during training (ANCE, arXiv 2007.00808)."""

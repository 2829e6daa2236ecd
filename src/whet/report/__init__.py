"""What a run says about itself: tables, figures and the verdict, for people and for machines."""

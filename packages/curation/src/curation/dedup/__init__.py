"""Exact and near duplicates: pairs above a cosine, groups of copies, one kept picture per group."""

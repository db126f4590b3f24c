"""What runs say of themselves, for eyes and for spreadsheets; JSON is made by the values themselves."""

"""The lab on transfer learning."""

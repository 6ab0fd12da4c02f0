"""What several tests make: pictures, rows, encoders and DICOM files, all small and drawn here."""

log {}
/* error: Duplicate log block: Only one log block is allowed. Another was defined at testdata/invalid/duplicate_block.hcl:1,1-4. */ log {}

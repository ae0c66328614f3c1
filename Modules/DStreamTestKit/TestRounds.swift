extension Int {
    /// So many rounds of a test with random or many cases, at least one: all of them in release, a
    /// quarter in debug, and a tenth under the thread sanitizer, which looks for races and is many
    /// times slower.
    package var testRounds: Int {
        #if THREAD_SANITIZER
            Swift.max(1, self / 10)
        #elseif DEBUG
            Swift.max(1, self / 4)
        #else
            self
        #endif
    }
}

extension [Int] {
    /// After which operations to crash: about so many of them as a test has rounds, evenly.
    ///
    /// Operations come in short cycles, of writing and syncing: an odd stride meets all of a cycle of
    /// two or four.
    package var crashPoints: [Int] {
        let stride = Swift.max(1, count / Swift.max(1, count.testRounds)) | 1
        return indices.filter { $0 % stride == 0 }.map { self[$0] }
    }
}

extension [Int] {
    /// After which operations to crash: all of them, but one in ten under the thread sanitizer, which
    /// looks for races and is many times slower.
    package var crashPoints: [Int] {
        #if THREAD_SANITIZER
            indices.filter { $0 % 10 == 0 }.map { self[$0] }
        #else
            self
        #endif
    }
}

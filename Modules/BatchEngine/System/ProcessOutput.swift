#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The program's standard output and standard error.
package enum ProcessOutput {
    /// Writes text to standard output in one piece, behind what `print` buffered.
    ///
    /// A closed output is no reason to stop a stream: what cannot be written is dropped.
    package static func writeStandardOutput(_ text: String) {
        fflush(nil)
        write(text, to: STDOUT_FILENO)
    }

    /// Hands on what `print` buffered.
    package static func flush() { fflush(nil) }

    /// Writes text to standard error in one piece; what cannot be written is dropped.
    package static func writeStandardError(_ text: String) { write(text, to: STDERR_FILENO) }

    private static func write(_ text: String, to descriptor: Int32) {
        var text = text
        text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while let start = rest.baseAddress, !rest.isEmpty {
                let count = systemWrite(descriptor, start, rest.count)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return }
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
        }
    }
}

private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
    write(descriptor, bytes, count)
}

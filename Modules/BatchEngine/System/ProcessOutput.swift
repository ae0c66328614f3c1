import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The program's standard output and standard error.
package enum ProcessOutput {
    /// Why the standard output takes no more, until somebody has taken it.
    private static let problem = Locked<(error: SystemError?, isKnown: Bool)>((nil, false))

    /// Has writing to what nobody reads fail, for the whole process, instead of ending it by SIGPIPE;
    /// where the program does something about the signal itself, nothing changes.
    package static func ignoreBrokenPipes() {
        var action = sigaction()
        guard sigaction(SIGPIPE, nil, &action) == 0 else { return }
        #if canImport(Glibc)
            let handler = action.__sigaction_handler.sa_handler
        #else
            let handler = action.__sigaction_u.__sa_handler
        #endif
        // The usual handler is none.
        if handler == nil { signal(SIGPIPE, SIG_IGN) }
    }

    /// Writes text to standard output in one piece, behind what `print` buffered.
    ///
    /// A closed output is no reason to stop a stream: what cannot be written is dropped, and the first
    /// failure is there for ``takeProblem()``.
    package static func writeStandardOutput(_ text: String) {
        fflush(nil)
        guard let error = write(text, to: STDOUT_FILENO) else { return }
        problem.withLock { problem in
            if !problem.isKnown { problem = (error, true) }
        }
    }

    /// Why the standard output could not be written for the first time; given once.
    package static func takeProblem() -> SystemError? {
        problem.withLock { problem in
            defer { problem.error = nil }
            return problem.error
        }
    }

    /// Hands on what `print` buffered.
    package static func flush() { fflush(nil) }

    /// Writes text to standard error in one piece, without waiting for its reader.
    package static func writeStandardError(_ text: String) {
        BackgroundWriter.standardError.write(text)
    }

    private static func write(_ text: String, to descriptor: Int32) -> SystemError? {
        var text = text
        let code = text.withUTF8 { bytes in
            writeAll(UnsafeRawBufferPointer(bytes)) { systemWriteWaiting(descriptor, $0, $1) }
        }
        return code.map {
            SystemError(call: "write", errno: $0, subject: "descriptor \(descriptor)")
        }
    }
}

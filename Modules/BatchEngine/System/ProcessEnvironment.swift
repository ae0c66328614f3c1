#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// What the process was started with, and its end.
package enum ProcessEnvironment {
    /// The value of an environment variable; nil: it is not set.
    package static subscript(name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }

    /// Ends the process.
    package static func exit(_ status: Int32) -> Never {
        fflush(nil)
        // The systems' own, whose name this one hides.
        systemExit(status)
    }
}

private func systemExit(_ status: Int32) -> Never { exit(status) }

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

    /// The program and its arguments, byte by byte: they need not be UTF-8.
    package static var arguments: [[UInt8]] {
        bytes(of: CommandLine.unsafeArgv)
    }

    /// The environment's entries, `name=value`, byte by byte.
    package static var variables: [[UInt8]] { bytes(of: environ) }

    private static func bytes(
        of list: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    ) -> [[UInt8]] {
        var result: [[UInt8]] = []
        var next = list
        while let text = next.pointee {
            result.append(Array(UnsafeRawBufferPointer(start: text, count: strlen(text))))
            next += 1
        }
        return result
    }

    /// Ends the process.
    package static func exit(_ status: Int32) -> Never {
        fflush(nil)
        BackgroundWriter.standardError.flush()
        // The systems' own, whose name this one hides.
        systemExit(status)
    }
}

private func systemExit(_ status: Int32) -> Never { exit(status) }

/// Has the compiler check an operator's closure by itself, once it knows the closure's `Input`.
///
/// The compiler otherwise checks the closures of one expression in a chain of operators all at once, with
/// every meaning of every `+` in any of them: a few sums of tuples take it seconds, or too long.
///
/// What a closure does stays the same. A closure with `return`, and a function in its place, is taken as
/// it stands. One of several statements has a `return`, or only declarations before its last one.
///
/// Why, and which operators have it: Docs/Decisions/0020-closure-bodies.md.
@resultBuilder
public enum ClosureBody<Input, Result> {
    /// The expression itself.
    @inlinable @inline(__always)
    public static func buildExpression(_ expression: Result) -> Result { expression }

    /// The result of the one expression.
    @inlinable @inline(__always)
    public static func buildBlock(_ result: Result) -> Result { result }

    /// A closure or a branch without an expression.
    @available(
        *, unavailable,
        message:
            "there is no result here; a closure that throws, or has several statements, says 'return'"
    )
    public static func buildBlock() -> Result { fatalError() }

    /// The result of an `if` or `switch` expression.
    @inlinable @inline(__always)
    public static func buildEither(first result: Result) -> Result { result }

    /// The result of an `if` or `switch` expression.
    @inlinable @inline(__always)
    public static func buildEither(second result: Result) -> Result { result }
}
